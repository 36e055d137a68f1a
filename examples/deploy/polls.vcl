vcl 4.1;

# Varnish in front of public bindings. Clients that ask for the same at the same
# time share one request by themselves.
backend default {
    .host = "10.0.0.1";
    .port = "8080";
    .first_byte_timeout = 75s;      # above the longest wait of a poll (60 s)
}

sub vcl_backend_response {
    # A poll without news bears no-store. Varnish would remember for two minutes
    # that this address is not to be kept, and let everybody through to the
    # origin. So the answer is let go at once, and the next poll is shared again.
    if (bereq.url ~ "[?&]since=" && beresp.http.Cache-Control ~ "no-store") {
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        return (deliver);
    }
}
