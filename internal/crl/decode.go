package crl

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"regexp"
	"slices"

	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// maxEncoded is how long a list of MaxSize may be as PEM or base64, with line
// breaks and text before it.
const maxEncoded = MaxSize/3*4 + MaxSize/12

const listType = "X509 CRL"

var (
	beginMark  = []byte("-----BEGIN ")
	byteOrder  = []byte("\xef\xbb\xbf") // a UTF-8 byte order mark, as Windows editors write it
	privateKey = regexp.MustCompile(`-----BEGIN [^\r\n-]*PRIVATE KEY`)
)

// Decode returns the DER of a list that is given as DER, as PEM (one X509 CRL
// block; text is allowed before it, RFC 7468 §5.2) or as base64 of DER, which
// is what `cfssl gencrl` prints. A private key, a certificate or anything else
// is refused by name; no part of the input is repeated in the fault. The result
// may be a part of data.
func Decode(data []byte) ([]byte, error) {
	if len(data) > maxEncoded {
		return nil, checkSize(len(data))
	}
	data = bytes.TrimPrefix(data, byteOrder)
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		return nil, fault.New(fault.Invalid, "empty", "the revocation list is empty").
			WithHint("give a list as PEM, DER or base64 of DER")
	case privateKey.Match(data):
		return nil, foreignFault("private_key")
	case bytes.Contains(data, beginMark):
		return decodePEM(data)
	case data[0] == tagSequence:
		return checkShape(data)
	}
	return decodeBase64(text)
}

func decodePEM(data []byte) ([]byte, error) {
	start := bytes.Index(data, beginMark)
	if bytes.Count(data, beginMark) > 1 {
		return nil, fault.New(fault.Unprocessable, "several_blocks", "there is more than one PEM block").
			WithHint("give one list at a time: one block that begins with -----BEGIN X509 CRL-----")
	}
	block, rest := pem.Decode(data[start:])
	if block == nil || len(block.Headers) > 0 || start > 0 && data[start-1] != '\n' {
		return nil, fault.New(fault.Invalid, "malformed_pem", "the PEM block is damaged").
			WithHint("the BEGIN and END line must stand alone on a line, with intact base64 and nothing else between them")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fault.New(fault.Invalid, "trailing_data", "there is data after the PEM block").
			WithHint("remove what follows the -----END X509 CRL----- line")
	}
	if block.Type != listType {
		return nil, foreignFault(ruleOf(data[start:]))
	}
	return checkShape(block.Bytes)
}

func decodeBase64(text []byte) ([]byte, error) {
	if text[0] == '<' {
		return nil, fault.New(fault.Unprocessable, "not_a_crl", "it is a web page, not a revocation list").
			WithHint("open the address that it came from: it may ask for a login, or tell where the list has gone")
	}
	compact := slices.DeleteFunc(bytes.Clone(text), func(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' })
	der := make([]byte, base64.StdEncoding.DecodedLen(len(compact)))
	n, err := base64.StdEncoding.Decode(der, compact)
	if err != nil || n == 0 {
		return nil, foreignFault("")
	}
	return checkShape(der[:n])
}

// checkShape refuses DER that is not a list, whose signed part is known by a
// time where other structures have none. What is wrong with a list is for
// Parse to tell.
func checkShape(der []byte) ([]byte, error) {
	if err := checkSize(len(der)); err != nil {
		return nil, err
	}
	if !isList(der) {
		return nil, foreignFault(ruleOf(der))
	}
	return der, nil
}

func isList(der []byte) bool {
	r := reader(der)
	for range 2 {
		contents, ok := r.take(tagSequence)
		if !ok {
			return false
		}
		r = contents
	}
	if r.at(tagInteger) {
		r.next()
	}
	_, algorithm := r.take(tagSequence)
	_, issuer := r.take(tagSequence)
	return algorithm && issuer && (r.at(tagUTCTime) || r.at(tagGeneralizedTime))
}

// ruleOf returns the rule by which an upload of a certificate is refused, which
// tells what it is: "certificate" when it is none.
func ruleOf(data []byte) string {
	_, err := cert.ParsePEMCertificates(data)
	if err == nil {
		return "certificate"
	}
	return fault.Rule(err)
}

// foreignFault returns the refusal of an input that is not a list.
func foreignFault(rule string) error {
	refuse := func(rule, text, hint string) error {
		return fault.New(fault.Unprocessable, rule, "%s", text).WithHint("%s", hint)
	}
	switch rule {
	case "private_key":
		return refuse(rule, "it holds a private key, which is never wanted here and was not stored",
			"give the revocation list alone; if the key went over a network that you do not trust, replace it")
	case "certificate":
		return refuse(rule, "it is a certificate, not a revocation list",
			"give the list that the CA issued; a CA is added with: certvigil ca add")
	case "csr":
		return refuse(rule, "it is a certificate signing request, not a revocation list", "give the list that the CA issued")
	case "pkcs7":
		return refuse(rule, "it is a PKCS#7 container, not a bare revocation list",
			"take the list out of it: openssl pkcs7 -print_certs -in FILE prints it")
	case "public_key":
		return refuse(rule, "it is a bare public key, not a revocation list", "give the list that the CA issued")
	}
	return refuse("not_a_crl", "it is not a revocation list, or a damaged one",
		"give a list as PEM that begins with -----BEGIN X509 CRL-----, as DER, or as base64 of DER")
}
