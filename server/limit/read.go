package limit

import (
	"errors"
	"io"
)

// ReadAll reads all of r as long as there is room for it, and gives what it has read
// beside an error; ErrNoRoom where there is none. A buffer that grows holds its old part
// as well while it is copied, for which a budget leaves half of the memory.
func ReadAll(r io.Reader, h *Hold) ([]byte, error) {
	b := make([]byte, 0, 512)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if n > 0 && h.Add(int64(n)) != nil {
			return b, ErrNoRoom
		}
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}
