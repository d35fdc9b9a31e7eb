package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/certvigil/certvigil/internal/fault"
)

// The limits of an upload.
const (
	MaxSize         = 1 << 20 // bytes
	MaxCertificates = 6
)

const certificateType = "CERTIFICATE"

var (
	beginMark = []byte("-----BEGIN ")
	byteOrder = []byte("\xef\xbb\xbf") // a UTF-8 byte order mark, as Windows editors write it
)

// ParsePEMCertificates parses 1 to [MaxCertificates] different certificates:
// CERTIFICATE blocks (RFC 7468 §5), or one bare DER. Text is allowed before a
// block (§5.2) and nothing but white space after the last one. Anything else,
// a block that does not parse among it, is refused with a fault whose Rule
// names what is wrong; no part of the input is repeated in it.
func ParsePEMCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > MaxSize {
		return nil, fault.New(fault.TooLarge, "too_large", "the upload has %d bytes, more than the %d that are allowed", len(data), MaxSize).
			WithHint("upload only the certificates, in PEM form")
	}
	data = bytes.TrimPrefix(data, byteOrder)
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fault.New(fault.Invalid, "empty", "the upload is empty").
			WithHint("upload a PEM file that begins with -----BEGIN CERTIFICATE-----")
	}
	if holdsPrivateKeyBlock(data) {
		return nil, privateKeyFault()
	}
	if !bytes.Contains(data, beginMark) {
		return parseBareDER(data)
	}
	return parseBlocks(data)
}

func parseBlocks(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	seen := map[string]int{}
	for n := 1; ; n++ {
		block, rest, err := nextBlock(data, n)
		if err != nil {
			return nil, err
		}
		if block == nil {
			return certs, nil
		}
		c, err := parseBlock(block, n)
		if err != nil {
			return nil, err
		}
		if first, ok := seen[string(c.Raw)]; ok {
			return nil, fault.New(fault.Unprocessable, "duplicate", "certificates %d and %d are the same", first, n).
				WithHint("upload each certificate once")
		}
		if n > MaxCertificates {
			return nil, fault.New(fault.Unprocessable, "too_many", "the upload has more than %d certificates", MaxCertificates).
				WithHint("upload one CA with its chain; give other CAs a bundle of their own")
		}
		seen[string(c.Raw)] = n
		certs, data = append(certs, c), rest
	}
}

// nextBlock returns the first block of data and what follows it, or nil when
// only white space is left. pem.Decode skips what it cannot read, so the block
// it finds is accepted only if no other BEGIN line precedes its own.
func nextBlock(data []byte, n int) (*pem.Block, []byte, error) {
	start := bytes.Index(data, beginMark)
	if start < 0 {
		if len(bytes.TrimSpace(data)) > 0 {
			return nil, nil, fault.New(fault.Invalid, "trailing_data", "there is data after the last certificate").
				WithHint("remove what follows the last -----END CERTIFICATE----- line")
		}
		return nil, nil, nil
	}
	if start == 0 || data[start-1] == '\n' {
		block, rest := pem.Decode(data[start:])
		if block != nil && bytes.Count(data[start:len(data)-len(rest)], beginMark) == 1 {
			return block, rest, nil
		}
	}
	return nil, nil, fault.New(fault.Invalid, "malformed_pem", "PEM block %d is damaged", n).
		WithHint("each BEGIN and END line must stand alone on a line, with intact base64 and real line breaks between them")
}

func parseBlock(block *pem.Block, n int) (*x509.Certificate, error) {
	if block.Type != certificateType {
		return nil, foreignFault(foreignBlock(block.Type))
	}
	if len(block.Headers) > 0 {
		return nil, fault.New(fault.Invalid, "malformed_pem", "PEM block %d has headers, which RFC 7468 does not allow", n).
			WithHint("remove the lines with a colon between the BEGIN line and the base64")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err == nil {
		return c, nil
	}
	if f := recognise(block.Bytes); f != foreignUnknown {
		return nil, foreignFault(f)
	}
	return nil, fault.New(fault.Invalid, "malformed_certificate", "certificate %d does not parse: %s", n, reason(err)).
		WithHint("export the certificate again; openssl x509 -in FILE -noout -text shows whether it is intact")
}

func parseBareDER(data []byte) ([]*x509.Certificate, error) {
	c, err := x509.ParseCertificate(data)
	if err == nil {
		return []*x509.Certificate{c}, nil
	}
	if f := recognise(data); f != foreignUnknown {
		return nil, foreignFault(f)
	}
	if beginsWithCertificate(data) {
		return nil, fault.New(fault.Invalid, "trailing_data", "there is data after the DER certificate").
			WithHint("upload one DER certificate alone, or several as PEM")
	}
	return nil, fault.New(fault.Invalid, "not_pem", "the upload is neither PEM nor a DER certificate").
		WithHint("upload a PEM file that begins with -----BEGIN CERTIFICATE-----; openssl x509 -inform DER -in FILE makes one from DER")
}

// reason returns the words of an x509 error up to where it repeats input.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), "x509: ")
	if i := strings.IndexAny(text, `"0123456789`); i >= 0 {
		text = text[:i]
	}
	return strings.TrimRight(text, " :")
}

// EncodePEM returns certificates as one PEM file.
func EncodePEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
