package registryproxy

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// apiError is an error as the distribution specification has it ("Error Codes").
type apiError struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Answers that depend on nothing. The details of what is wrong on the host are for its log, not for the network.
var (
	notFound     = &apiError{http.StatusNotFound, "NAME_UNKNOWN", "there is no such endpoint"}
	unauthorized = &apiError{http.StatusUnauthorized, "UNAUTHORIZED", "this registry requires a username and a password"}
	readOnly     = &apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only"}
	storeDamaged = &apiError{http.StatusInternalServerError, "UNKNOWN", "the store of this host is damaged: see journalctl -u " + Unit}
	nobodyKnows  = &apiError{http.StatusBadGateway, "UNKNOWN", "no host that holds images answers: see journalctl -u " + Unit}
)

func (e *apiError) write(w http.ResponseWriter) {
	body, _ := json.Marshal(map[string][]*apiError{"errors": {e}}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	w.Write(body)
}

func writeJSON(w http.ResponseWriter, r *http.Request, contentType string, value any) {
	body, _ := json.Marshal(value) // strings and lists of them, too
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}
