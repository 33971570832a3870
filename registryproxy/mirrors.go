package registryproxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// ChangeMirrors returns a file that [HostsFiles] wrote with other mirrors: change gets their URLs in the order in which they are asked, and returns
// those that stay, in theirs. It reports false for a file that is not exactly as we write it: that is another program's.
func ChangeMirrors(content []byte, change func(urls []string) []string) ([]byte, bool) {
	mirrors, closed, ok := readHosts(content)
	if !ok {
		return content, false
	}
	known, urls := map[string]asked{}, []string{}
	for _, m := range mirrors {
		known[m.url] = m
		urls = append(urls, m.url)
	}
	var left []asked
	for _, url := range change(urls) {
		if m, there := known[url]; there {
			left = append(left, m)
		}
	}
	if len(left) == 0 || len(known) != len(mirrors) {
		return content, false
	}
	return writeHosts(left, closed), true
}

// asked is a mirror as it is in a file, with its settings.
type asked struct{ url, settings string }

// maxMirrors bounds what is read of a file.
const maxMirrors = 1000

// readHosts reads what hostsTOML writes: the mirrors in the order in which they are asked, and whether the last one is the server, after which
// no other is asked.
func readHosts(content []byte) (mirrors []asked, closed, ok bool) {
	sections := strings.SplitN(string(content), "\n\n", maxMirrors)
	var server asked
	for i, section := range sections {
		head, settings, _ := strings.Cut(section, "\n")
		if i < len(sections)-1 {
			settings += "\n" // of which the empty line took the end
		}
		quoted, isServer := strings.CutPrefix(head, "server = ")
		if isServer = isServer && i == 0; !isServer {
			quoted = strings.TrimSuffix(strings.TrimPrefix(head, "[host."), "]")
		}
		url, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, false, false
		}
		if isServer {
			server, closed = asked{url, settings}, true
			continue
		}
		mirrors = append(mirrors, asked{url, settings})
	}
	if closed {
		mirrors = append(mirrors, server)
	}
	return mirrors, closed, len(mirrors) > 0 && bytes.Equal(writeHosts(mirrors, closed), content)
}

func writeHosts(mirrors []asked, closed bool) []byte {
	var sections []string
	if last := len(mirrors) - 1; closed {
		sections = append(sections, fmt.Sprintf("server = %q\n%s", mirrors[last].url, mirrors[last].settings))
		mirrors = mirrors[:last]
	}
	for _, m := range mirrors {
		sections = append(sections, fmt.Sprintf("[host.%q]\n%s", m.url, m.settings))
	}
	return []byte(strings.Join(sections, "\n"))
}
