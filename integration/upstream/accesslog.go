package upstream

import (
	"encoding/json"
	"net/http"
	"time"
)

// An Access is one line of the access log.
type Access struct {
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query,omitempty"`
	Accept    []string  `json:"accept,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`
	Status    int       `json:"status"`
	// Bytes is the length of the body as sent.
	Bytes int64 `json:"bytes"`
}

// ServeHTTP answers a request and logs it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	access := Access{
		Time:      time.Now().UTC(),
		Method:    r.Method,
		Path:      r.URL.Path,
		Query:     r.URL.RawQuery,
		Accept:    r.Header.Values("Accept"),
		UserAgent: r.UserAgent(),
		Status:    http.StatusOK,
	}
	s.mux.ServeHTTP(&watched{w, &access}, r)
	if s.accessLog == nil {
		return
	}
	s.logging.Lock()
	defer s.logging.Unlock()
	_ = json.NewEncoder(s.accessLog).Encode(access) // a full disk must not fail a pull
}

// watched notes status and length of an answer.
type watched struct {
	http.ResponseWriter
	access *Access
}

func (w *watched) WriteHeader(status int) {
	w.access.Status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	if w.access.Method != http.MethodHead { // an answer to HEAD has no body, even if data is written
		w.access.Bytes += int64(n)
	}
	return n, err
}
