// Package localkey keeps a master key in a file, for development and for installations
// without a KMS. Whoever reads the file and the database has every secret, so the file
// must be readable by its owner alone and must not lie in the same backup.
package localkey

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	keySize  = 32 // bytes: XAES-256-GCM
	saltSize = 12 // bytes, which with the IV make a nonce of 192 bits
	// maxFile bounds what is read; a keyset of one key has about 300 bytes.
	maxFile = 64 << 10
)

// Open gives the master key in the file at path, a Tink keyset in JSON. Where there is
// no file it makes one of mode 0600 with a new key of random. A file that is not
// regular, that others than its owner may use, or that holds no keyset is an error; it
// is never written to.
func Open(path string, random io.Reader) (tink.AEAD, error) {
	master, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return master, err
	}
	if err := create(path, random); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make master key file: %w", err)
	}
	return read(path) // also where another process was first: then it is theirs
}

func read(path string) (tink.AEAD, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("open master key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat() // of the open file: the name could be exchanged in between
	if err != nil {
		return nil, fmt.Errorf("master key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("master key file %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("master key file %s has mode %04o, so others than its owner can use it: run chmod 600 %s", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read master key file: %w", err)
	}
	defer clear(text)
	if len(text) > maxFile {
		return nil, fmt.Errorf("master key file %s is longer than %d bytes", path, maxFile)
	}
	// What the decoder complains of could quote the key, so its error is left out.
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("master key file %s holds no Tink keyset in JSON", path)
	}
	master, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("master key file %s holds no key for encryption", path)
	}
	return master, nil
}

// create writes a new key beside path and links it there. A link never replaces a
// file, and the key appears under its name whole or not at all, whatever happens to
// the process or the machine in between. fs.ErrExist where the file is there already.
func create(path string, random io.Reader) (err error) {
	text, err := newKeyset(random)
	if err != nil {
		return err
	}
	defer clear(text)
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-key-*") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the new name durable: secrets will be sealed under this key at once.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the folder of the file that the operator names
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newKeyset(random io.Reader) ([]byte, error) {
	material := make([]byte, keySize)
	defer clear(material)
	if _, err := io.ReadFull(random, material); err != nil {
		return nil, err
	}
	params, err := xaesgcm.NewParameters(xaesgcm.VariantNoPrefix, saltSize)
	if err != nil {
		return nil, err
	}
	key, err := xaesgcm.NewKey(secretdata.NewBytesFromData(material, insecuresecretdataaccess.Token{}), 0, params)
	if err != nil {
		return nil, err
	}
	manager := keyset.NewManager()
	id, err := manager.AddKey(key)
	if err != nil {
		return nil, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, err
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out))
	return out.Bytes(), err
}
