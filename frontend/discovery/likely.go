package discovery

import (
	"path"
	"regexp"
	"strings"
	"unicode"

	distribution "github.com/distribution/reference"
)

// likelihood is how much a text looks like an image reference, judged by its content.
type likelihood int

const (
	notLikely  likelihood = iota
	bareName              // nginx
	repository            // library/nginx, quay.io/x/y
	shortName             // nginx:1
	pathName              // library/nginx:1
	fullName              // quay.io/x/y:1, with a registry, and a tag or a digest
)

// files that are not images, under any key
var fileName = regexp.MustCompile(`(?i)\.(png|jpe?g|gif|svg|ico|webp|qcow2|iso|img|vmdk|raw|vhdx?|ova|ya?ml|json|sh|py|js|tgz|gz|tar|zip|conf|toml|ini|txt|md|html?|pem|crt|key|sock|log|sql|lua|jar|rpm|deb)$`)

// maxReference is the longest reference, in characters: 255 for the name (distribution/reference), 127 for the tag, and a digest.
const maxReference = 512

// likely looks at a text that may be a distribution.
func likely(text string) likelihood {
	if text == "" || len(text) > maxReference || strings.ContainsAny(text, " \t\n{}<>$%\"'()[]|=,;\\") || strings.Contains(text, "://") ||
		strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") || digestGrammar.MatchString(text) {
		return notLikely
	}
	named, err := distribution.ParseNormalizedNamed(text)
	if err != nil || fileName.MatchString(distribution.Path(named)) {
		return notLikely
	}
	_, digested := named.(distribution.Digested)
	tagged, hasTag := named.(distribution.Tagged)
	first, _, slash := strings.Cut(text, "/")
	hosted := slash && (strings.ContainsAny(first, ".:") || first == "localhost")
	switch {
	case hasTag && (fileName.MatchString("x."+tagged.Tag()) || !slash && !digested && isNumber(first[:strings.Index(first, ":")])):
		return notLikely // 12:30
	case hasTag && !slash && !digested && strings.Contains(first[:strings.Index(first, ":")], "."):
		return notLikely // a host and its port
	case hosted && (hasTag || digested):
		return fullName
	case slash && (hasTag || digested):
		return pathName
	case hasTag || digested:
		return shortName
	case slash:
		return repository
	case isNumber(text) || strings.Contains(text, "."):
		return notLikely
	}
	return bareName
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789.-_") == ""
}

// namesImages reports whether the name of a key, a variable or a flag shows that its value is an image.
func namesImages(key string) bool {
	norm := normal(key)
	return strings.HasSuffix(norm, "image") && !notContainers(norm) || strings.HasPrefix(norm, "relatedimage") || strings.HasSuffix(norm, "imageref") ||
		strings.HasSuffix(norm, "imagename") || strings.HasSuffix(norm, "imagereference")
}

// namesImageLists reports whether the name of a key shows that its value is several images.
func namesImageLists(key string) bool {
	norm := normal(key)
	return strings.HasSuffix(norm, "images") && !notContainers(strings.TrimSuffix(norm, "s"))
}

// notContainers knows images of other kinds: of machines and disks, and pictures.
func notContainers(norm string) bool {
	for _, other := range []string{"machineimage", "osimage", "vmimage", "diskimage", "bootimage", "amiimage", "cloudimage", "nodeimage", "logoimage", "backgroundimage", "iconimage", "coverimage", "kernelimage", "isoimage", "rbdimage"} {
		if strings.HasSuffix(norm, other) {
			return true
		}
	}
	return false
}

// notImages reports whether nothing below the key is an image that is needed.
func notImages(key string) bool {
	switch key {
	case "alm-examples", "kubectl.kubernetes.io/last-applied-configuration", "openAPIV3Schema", "description", "$schema", "example", "examples":
		return true
	}
	return strings.HasPrefix(key, "artifacthub.io/") && key != "artifacthub.io/images"
}

// normal writes names of all spellings alike: sidecarImage, SIDECAR_IMAGE and sidecar-image are sidecarimage.
func normal(key string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-./ ", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, key)
}

// isValuesFile reports whether a file has values for charts; rendering finds those that are used.
func isValuesFile(name string) bool {
	base := strings.ToLower(path.Base(name))
	return strings.HasPrefix(base, "values") || strings.HasSuffix(strings.TrimSuffix(base, path.Ext(base)), "values")
}
