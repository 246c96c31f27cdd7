package assertion

// What parses text of strangers or of the issuer, for the fuzz targets.
var (
	ParseClaims = parseClaims
	ParseKeys   = parseKeys
	Canonical   = canonical
)
