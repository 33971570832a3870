package registryproxy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/kubefile/kubefile/imagespec"
)

// errNoStore is returned on a host that has no store and so does not know the content of the cluster image.
var errNoStore = fmt.Errorf("%w: this host holds no images", imagespec.ErrNotFound)

// own answers from the first store of this host that has what is asked for. They are opened for each request: one may appear, or be
// exchanged, while this runs. Damage is logged, and is the error when no store has it.
func (h *Handler) own(w http.ResponseWriter, r *http.Request, t target) error {
	stores, broken := openStores(h.stores)
	defer stores.close()
	if len(stores) == 0 && broken == nil {
		return errNoStore
	}
	meanings, err := t.meanings(h.domain, stores)
	var tags []string
	found, damage := stores.find(meanings, func(store *imagespec.Store, meant target) error {
		switch t.kind {
		case kindManifest:
			return h.ownManifest(w, r, store, t, meant)
		case kindBlob:
			return ownBlob(w, r, store, t)
		default:
			some, err := store.Tags(meant.host, meant.repository)
			tags = append(tags, some...)
			return cmp.Or(err, imagespec.ErrNotFound) // the next store may have others
		}
	})
	if len(tags) > 0 {
		writeTags(w, r, tags)
		found = true
	}
	if broken = errors.Join(broken, err, damage); broken != nil {
		h.log.Error("a store is damaged", "wanted", t.String(), "error", broken)
	}
	if found {
		return nil
	}
	return cmp.Or(broken, fmt.Errorf("%s: %w", t, imagespec.ErrNotFound))
}

func (h *Handler) ownManifest(w http.ResponseWriter, r *http.Request, store *imagespec.Store, t, meant target) error {
	descriptor, err := store.Resolve(meant.host, meant.repository, meant.name)
	if err != nil {
		return err
	}
	data, err := store.Manifest(descriptor)
	if errors.Is(err, imagespec.ErrNotFound) {
		err = fmt.Errorf("%w: %v", imagespec.ErrInvalid, err) // the store names it, so that it is missing is a damage
	}
	if err != nil {
		return fmt.Errorf("%s: %w", meant, err)
	}
	h.served(t, descriptor.Digest.String())
	header := w.Header()
	header.Set("Content-Type", descriptor.MediaType)
	header.Set("Content-Length", strconv.Itoa(len(data)))
	header.Set(digestHeader, descriptor.Digest.String())
	if r.Method == http.MethodGet {
		w.Write(data)
	}
	return nil
}

func ownBlob(w http.ResponseWriter, r *http.Request, store *imagespec.Store, t target) error {
	file, err := store.Open(t.digest)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("blob %s: %w", t.digest, err)
	}
	content, ok := file.(io.ReadSeeker)
	if !ok {
		return fmt.Errorf("blob %s: its file cannot seek", t.digest)
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set(digestHeader, t.name)
	header.Set("Etag", `"`+t.name+`"`)
	allow(w, info.Size())
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}
