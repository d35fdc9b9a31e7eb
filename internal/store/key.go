package store

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/certvigil/certvigil/internal/fault"
)

const keySize = 32 // AES-256

// A sealer seals rows with the key of the key file, which it reads when it is
// first needed: commands that open no secret need not be able to read it.
type sealer struct {
	mu    sync.Mutex
	aead  cipher.AEAD
	links []byte // derived from the same key
}

// cipher returns the store's cipher. The key file is made when it is missing
// and nothing is sealed yet. A key that does not open what is sealed is
// refused, never replaced.
func (s *Store) cipher(ctx context.Context) (cipher.AEAD, error) {
	s.key.mu.Lock()
	defer s.key.mu.Unlock()
	if s.key.aead != nil {
		return s.key.aead, nil
	}
	rows, err := s.sealedRows(ctx)
	if err != nil {
		return nil, err
	}
	key, err := readKeyFile(s.keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if len(rows) > 0 {
			return nil, keyFault("missing", "the key file %s is missing, and the store holds secrets that it sealed", s.keyFile).
				WithHint("restore it from the backup of the machine that made it")
		}
		key, err = makeKeyFile(s.keyFile)
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if _, err := unseal(aead, row.sealed, row.identity); err != nil {
			return nil, keyFault("mismatch", "the key file %s does not open what the store holds", s.keyFile).
				WithHint("restore the key file that belongs to this database")
		}
	}
	if s.key.links, err = hkdf.Key(sha256.New, key, nil, linkKeyInfo, keySize); err != nil {
		return nil, err
	}
	s.key.aead = aead
	return aead, nil
}

// A sealedRow is what is sealed, whatever it is, with the row's identity.
type sealedRow struct {
	sealed   []byte
	identity string
}

// sealedRows returns everything that the key file has sealed.
func (s *Store) sealedRows(ctx context.Context) (rows []sealedRow, err error) {
	err = s.read(ctx, "reading what is sealed", func(t *tx) (err error) {
		rows, err = collect(ctx, t, func(row scanner) (r sealedRow, err error) {
			err = row.Scan(&r.sealed, &r.identity)
			return r, err
		}, `SELECT sealed, 'signing_keys/' || kid FROM signing_keys UNION ALL SELECT sealed, 'webhook_destinations/' || id FROM webhook_destinations`)
		return err
	})
	return rows, err
}

// linkKeyInfo keeps the key of links apart from whatever else is derived.
const linkKeyInfo = "certvigil signed links v1"

// LinkKey returns the secret key that signs the links in messages: 32 bytes
// derived from the key file, so the same for every process with that file, and
// another one after it is replaced. A key file that is missing is made.
func (s *Store) LinkKey(ctx context.Context) ([]byte, error) {
	if _, err := s.cipher(ctx); err != nil {
		return nil, err
	}
	s.key.mu.Lock()
	defer s.key.mu.Unlock()
	return bytes.Clone(s.key.links), nil
}

func keyFault(rule, format string, args ...any) *fault.Error {
	return fault.New(fault.Unprocessable, "key_file_"+rule, format, args...).WithField("storage.key_file")
}

// readKeyFile returns the key of a file that its owner alone can read: 32
// bytes in base64 or hex.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, keyFault("unreadable", "opening the key file: %w", err).WithHint("run as the user who owns it")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, keyFault("open_to_others", "the key file %s can be opened by others (mode %04o)", path, info.Mode().Perm()).
			WithHint("chmod 600 %s", path)
	}
	const most = 1024 // hex and white space need less
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, keyFault("unreadable", "reading the key file: %w", err)
	}
	key, ok := decodeKey(bytes.TrimSpace(text))
	if !ok {
		return nil, keyFault("malformed", "the key file %s does not hold 32 bytes in base64 or hex", path).
			WithHint("restore it, or make one: openssl rand -base64 32")
	}
	return key, nil
}

func decodeKey(text []byte) ([]byte, bool) {
	if key, err := hex.DecodeString(string(text)); err == nil && len(key) == keySize {
		return key, true
	}
	key, err := base64.StdEncoding.DecodeString(string(text))
	return key, err == nil && len(key) == keySize
}

// makeKeyFile writes a new key beside its place and links it there, so that no
// other process ever reads half of it; whoever is first wins.
func makeKeyFile(path string) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	if err := linkNew(path, base64.StdEncoding.EncodeToString(key)+"\n"); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, keyFault("unwritable", "making the key file: %w", err).
			WithHint("its folder must exist and be writable for you, or set storage.key_file")
	}
	return readKeyFile(path)
}

func linkNew(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".certvigil-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder outlive a power failure.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// sealedVersion is the first byte of what is sealed.
const sealedVersion = 1

// seal encrypts text for one row: a version, a random nonce, and AES-256-GCM
// over the text with the row's identity, so that a sealed value copied to
// another row does not open.
func seal(aead cipher.AEAD, text []byte, identity string) ([]byte, error) {
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(append([]byte{sealedVersion}, nonce...), nonce, text, []byte(identity)), nil
}

func unseal(aead cipher.AEAD, sealed []byte, identity string) ([]byte, error) {
	if len(sealed) < 1+aead.NonceSize() || sealed[0] != sealedVersion {
		return nil, errors.New("what is sealed is malformed")
	}
	nonce, text := sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():]
	text, err := aead.Open(nil, nonce, text, []byte(identity))
	if err != nil {
		return nil, fmt.Errorf("opening what is sealed: %w", err)
	}
	return text, nil
}
