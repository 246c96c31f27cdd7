package credential

// ParsePair parses a certificate credential, for the fuzz target.
func ParsePair(secret string) (certificates int, err error) {
	p, err := parsePair(secret)
	if err != nil {
		return 0, err
	}
	_, err = p.certificate()
	return len(p.chain), err
}
