package stream

import "io"

// The first and the largest size of the buffer of a copy, in bytes. The largest is what fits into a packet of SSH.
const (
	firstBuffer   = 512
	largestBuffer = 32 << 10
)

// Copy copies like [io.Copy], with a buffer that grows to what comes at once. On each of hundreds of hosts a command runs as long as we do that
// hardly says a word: with the buffers of io.Copy, its three streams would take more memory than all else that belongs to the host.
func Copy(dst io.Writer, src io.Reader) (written int64, err error) {
	buffer := make([]byte, firstBuffer)
	for {
		n, err := src.Read(buffer)
		if n > 0 {
			m, failed := dst.Write(buffer[:n])
			written += int64(m)
			if failed != nil {
				return written, failed
			}
			if m < n {
				return written, io.ErrShortWrite
			}
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		if n == len(buffer) && n < largestBuffer {
			buffer = make([]byte, 4*n)
		}
	}
}
