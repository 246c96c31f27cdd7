package localkey_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault/localkey"
)

func open(t *testing.T, path string) tink.AEAD {
	t.Helper()
	m, err := localkey.Open(path, rand.Reader)
	require.NoError(t, err)
	return m
}

func TestOpenMakesTheFileOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.json")
	wrapped, err := open(t, path).Encrypt([]byte("text"), []byte("data"))
	require.NoError(t, err)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(before), "XAesGcmKey")

	again := open(t, path)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	text, err := again.Decrypt(wrapped, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
	_, err = again.Decrypt(wrapped, []byte("other data"))
	require.Error(t, err)
	_, err = open(t, filepath.Join(dir, "other.json")).Decrypt(wrapped, []byte("data"))
	require.Error(t, err, "another file has another key")
}

func TestOpenRefuses(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.json")
	open(t, good)
	keyset, err := os.ReadFile(good)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		mode    os.FileMode
		content []byte
		want    string
	}{
		"readable by the group":    {0o640, keyset, "has mode 0640"},
		"readable by all":          {0o604, keyset, "has mode 0604"},
		"writable by others":       {0o602, keyset, "run chmod 600 "},
		"executable by the group":  {0o610, keyset, "has mode 0610"},
		"empty":                    {0o600, nil, "holds no Tink keyset"},
		"cut short":                {0o600, keyset[:len(keyset)/2], "holds no Tink keyset"},
		"something else":           {0o600, []byte(`{"secret":"canary"}`), "holds no Tink keyset"},
		"a keyset without keys":    {0o600, []byte(`{"primaryKeyId":1,"key":[]}`), "holds no"},
		"another kind of key":      {0o600, bytes.ReplaceAll(keyset, []byte("XAesGcmKey"), []byte("HmacPrfKey")), "holds no"},
		"longer than any key file": {0o600, bytes.Repeat([]byte(" "), 65<<10), "is longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "master.json")
			require.NoError(t, os.WriteFile(path, tt.content, 0o600))
			require.NoError(t, os.Chmod(path, tt.mode))
			_, err := localkey.Open(path, rand.Reader)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "typeUrl")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(tt.content), string(after), "the file is left alone")
		})
	}
	t.Run("a directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "master.json")
		require.NoError(t, os.Mkdir(path, 0o700))
		_, err := localkey.Open(path, rand.Reader)
		require.ErrorContains(t, err, "is not a regular file")
	})
	t.Run("no directory to make it in", func(t *testing.T) {
		_, err := localkey.Open(filepath.Join(t.TempDir(), "absent", "master.json"), rand.Reader)
		require.ErrorContains(t, err, "make master key file")
	})
	t.Run("without randomness, and leaves no file", func(t *testing.T) {
		dir := t.TempDir()
		broken := errors.New("no entropy")
		_, err := localkey.Open(filepath.Join(dir, "master.json"), iotest.ErrReader(broken))
		require.ErrorIs(t, err, broken)
		_, err = localkey.Open(filepath.Join(dir, "master.json"), strings.NewReader("too short"))
		require.Error(t, err)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, entries)
	})
}

func TestOpenAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.json")
	masters := make([]tink.AEAD, 16)
	var all sync.WaitGroup
	for i := range masters {
		all.Go(func() {
			var err error
			if masters[i], err = localkey.Open(path, rand.Reader); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.False(t, t.Failed())
	wrapped, err := masters[0].Encrypt([]byte("text"), nil)
	require.NoError(t, err)
	for _, m := range masters {
		_, err := m.Decrypt(wrapped, nil)
		require.NoError(t, err, "everybody has the one key")
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func FuzzOpen(f *testing.F) {
	good := filepath.Join(f.TempDir(), "good.json")
	_, err := localkey.Open(good, rand.Reader)
	require.NoError(f, err)
	keyset, err := os.ReadFile(good)
	require.NoError(f, err)
	f.Add(keyset)
	f.Add([]byte("{}"))
	f.Add([]byte(`{"primaryKeyId":1,"key":[{}]}`))
	path := filepath.Join(f.TempDir(), "master.json")
	f.Fuzz(func(t *testing.T, content []byte) {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, _ = localkey.Open(path, rand.Reader) // must not panic
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(content), string(after))
	})
}
