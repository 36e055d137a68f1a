vcl 4.1;

# Varnish as it is by itself, in front of the origin.
backend default {
	.host = "{{.Host}}";
	.port = "{{.Port}}";
}

# Under this name a cache that knows dates alone, and asks often.
sub vcl_backend_fetch {
	if (bereq.http.host == "dates") {
		unset bereq.http.If-None-Match;
	}
}
sub vcl_backend_response {
	if (bereq.http.host == "dates") {
		set beresp.ttl = 50ms;
		set beresp.grace = 0s;
		set beresp.keep = 60s;
	}
}
