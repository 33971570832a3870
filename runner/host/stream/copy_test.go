package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// sizes notes how much is asked for at once.
type sizes struct {
	io.Reader
	asked []int
}

func (s *sizes) Read(p []byte) (int, error) {
	s.asked = append(s.asked, len(p))
	return s.Reader.Read(p)
}

// TestCopy: everything is copied, with a buffer that grows only when it is full.
func TestCopy(t *testing.T) {
	content := make([]byte, 300_000)
	for i := range content {
		content[i] = byte(rand.IntN(256))
	}
	for name, tt := range map[string]struct {
		reader  io.Reader
		largest int
	}{
		"large":        {bytes.NewReader(content), largestBuffer},
		"byte by byte": {iotest.OneByteReader(bytes.NewReader(content)), firstBuffer},
		"with the end": {iotest.DataErrReader(bytes.NewReader(content)), 4 * firstBuffer},
	} {
		var out bytes.Buffer
		s := &sizes{Reader: tt.reader}
		n, err := Copy(&out, s)
		if err != nil || n != int64(len(content)) || !bytes.Equal(out.Bytes(), content) {
			t.Errorf("%s: copied %d bytes, %v", name, n, err)
		}
		if s.asked[0] != firstBuffer || s.asked[len(s.asked)-1] != tt.largest {
			t.Errorf("%s: asked for %d bytes first and %d at the end, want %d and %d", name, s.asked[0], s.asked[len(s.asked)-1], firstBuffer, tt.largest)
		}
	}
}

// TestCopyFails where the reader or the writer does.
func TestCopyFails(t *testing.T) {
	broken := errors.New("broken")
	if n, err := Copy(io.Discard, io.MultiReader(bytes.NewReader(make([]byte, 1000)), iotest.ErrReader(broken))); n != 1000 || err != broken {
		t.Errorf("got %d bytes, %v, want 1000, %v", n, err, broken)
	}
	closed := &Gate{}
	closed.Close()
	if n, err := Copy(closed, bytes.NewReader(make([]byte, 1000))); n != 0 || err != io.ErrClosedPipe {
		t.Errorf("got %d bytes, %v, want 0, %v", n, err, io.ErrClosedPipe)
	}
}
