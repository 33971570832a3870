package registryproxy

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// writeTags answers with the tags of a repository in pages of n after last, as the client wants (distribution specification, "Listing
// Tags").
func writeTags(w http.ResponseWriter, r *http.Request, tags []string) {
	slices.Sort(tags)
	tags = slices.Compact(tags)
	query := r.URL.Query()
	if last := query.Get("last"); last != "" {
		tags = slices.DeleteFunc(tags, func(tag string) bool { return tag <= last })
	}
	if n, err := strconv.Atoi(query.Get("n")); err == nil && n >= 0 && n < len(tags) {
		tags = tags[:n]
		if n > 0 {
			w.Header().Set("Link", nextPage(r.URL, tags[n-1]))
		}
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/tags/list")
	writeJSON(w, r, "application/json", map[string]any{"name": name, "tags": tags})
}

// nextPage is the link to what follows (RFC 8288).
func nextPage(here *url.URL, last string) string {
	query := here.Query()
	query.Set("last", last)
	next := url.URL{Path: here.Path, RawQuery: query.Encode()}
	return "<" + next.String() + `>; rel="next"`
}
