package socketio

import (
	"net/http"
	"strconv"
)

// refusal is the answer of Engine.IO servers to a bad request: status 400 and a code.
type refusal struct {
	code    int
	message string
}

// The refusals, with Engine.IO's codes.
var (
	unknownTransport   = refusal{0, "Transport unknown"}
	unknownSID         = refusal{1, "Session ID unknown"}
	badMethod          = refusal{2, "Bad handshake method"}
	badRequest         = refusal{3, "Bad request"}
	unsupportedVersion = refusal{5, "Unsupported protocol version"}
)

// write answers the request with the refusal.
func (f refusal) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusBadRequest)
	_, err := w.Write([]byte(`{"code":` + strconv.Itoa(f.code) + `,"message":"` + f.message + `"}`))
	return err
}
