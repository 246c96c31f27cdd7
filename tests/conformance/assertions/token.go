package assertions

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
)

// object is a JSON object; encoding/json writes its names in order.
type object = map[string]any

// sign makes a JWS signature over an input.
type sign func(input []byte) []byte

// es256 signs by RFC 7518 section 3.4, deterministically.
func es256(k key) sign {
	return func(input []byte) []byte {
		var parsed struct{ R, S *big.Int }
		must(asn1.Unmarshal(es256DER(k)(input), &parsed))
		out := make([]byte, 64)
		parsed.R.FillBytes(out[:32])
		parsed.S.FillBytes(out[32:])
		return out
	}
}

// es256DER gives the ASN.1 form, which a JWS must not have.
func es256DER(k key) sign {
	return func(input []byte) []byte {
		digest := sha256.Sum256(input)
		// Without a source of randomness the nonce is that of RFC 6979.
		der := must(k.private.Sign(nil, digest[:], crypto.SHA256))
		if !ecdsa.VerifyASN1(&k.private.PublicKey, digest[:], der) {
			panic("the signature does not fit")
		}
		return der
	}
}

func rs256(k *rsa.PrivateKey) sign {
	return func(input []byte) []byte {
		digest := sha256.Sum256(input)
		return must(rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:]))
	}
}

func hs256(secret []byte) sign {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func unsigned([]byte) []byte { return nil }

// compact serialises and signs.
func compact(header, payload []byte, s sign) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(s([]byte(input)))
}

// text is the JSON of an object, without HTML escapes.
func text(o object) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// with gives a copy of o in which some names have other values; nil takes one out. A
// name "a.b" is one within the object a.
func with(o object, changes ...any) object {
	out := maps.Clone(o)
	for i := 0; i < len(changes); i += 2 {
		name, value := changes[i].(string), changes[i+1]
		if outer, inner, nested := strings.Cut(name, "."); nested {
			out[outer] = with(out[outer].(object), inner, value)
			continue
		}
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	return out
}

// alter changes one character in the middle of a part of a token.
func alter(token string, part int) string {
	parts := strings.Split(token, ".")
	middle := []byte(parts[part])
	at := len(middle) / 2
	if middle[at] == 'A' {
		middle[at] = 'B'
	} else {
		middle[at] = 'A'
	}
	parts[part] = string(middle)
	return strings.Join(parts, ".")
}

// replacePayload puts other claims under a signature.
func replacePayload(token string, o object) string {
	parts := strings.Split(token, ".")
	return parts[0] + "." + b64(text(o)) + "." + parts[2]
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func hash(query string) string {
	sum := sha256.Sum256([]byte(query))
	return b64(sum[:])
}
