package files

// contentType is what a file's extension says about it.
type contentType struct {
	value  string
	packed bool // already compressed: no sidecar is looked for
}

// unknownType is the type of a file whose extension says nothing.
var unknownType = contentType{value: "application/octet-stream"}

// maxExtension is the longest extension in contentTypes.
const maxExtension = 11

// contentTypes is the whole table: the machine's own is not read, so that a file has the same type everywhere. Types
// are those of the IANA registry; text is UTF-8.
var contentTypes = func() map[string]contentType {
	t := map[string]contentType{}
	for value, extensions := range map[string][]string{
		"text/html; charset=utf-8":                 {"html", "htm"},
		"text/css; charset=utf-8":                  {"css"},
		"text/javascript; charset=utf-8":           {"js", "mjs", "cjs"},
		"text/plain; charset=utf-8":                {"txt", "text", "log", "conf", "ini"},
		"text/markdown; charset=utf-8":             {"md", "markdown"},
		"text/csv; charset=utf-8":                  {"csv"},
		"text/tab-separated-values; charset=utf-8": {"tsv"},
		"text/xml; charset=utf-8":                  {"xml", "xsl", "xsd"},
		"text/calendar; charset=utf-8":             {"ics"},
		"text/vcard; charset=utf-8":                {"vcf"},
		"text/vtt; charset=utf-8":                  {"vtt"},
		"application/json":                         {"json", "map"},
		"application/ld+json":                      {"jsonld"},
		"application/geo+json":                     {"geojson"},
		"application/manifest+json":                {"webmanifest"},
		"application/yaml":                         {"yaml", "yml"},
		"application/toml":                         {"toml"},
		"application/wasm":                         {"wasm"},
		"application/xhtml+xml":                    {"xhtml"},
		"application/atom+xml":                     {"atom"},
		"application/rss+xml":                      {"rss"},
		"application/rtf":                          {"rtf"},
		"application/vnd.ms-fontobject":            {"eot"},
		"application/vnd.apple.mpegurl":            {"m3u8"},
		"application/dash+xml":                     {"mpd"},
		"image/svg+xml":                            {"svg"},
		"application/x-tar":                        {"tar"},
		"image/bmp":                                {"bmp"},
		"image/vnd.microsoft.icon":                 {"ico"},
		"font/ttf":                                 {"ttf"},
		"font/otf":                                 {"otf"},
	} {
		for _, e := range extensions {
			t[e] = contentType{value: value}
		}
	}
	for value, extensions := range map[string][]string{
		"image/png":                   {"png"},
		"image/apng":                  {"apng"},
		"image/jpeg":                  {"jpg", "jpeg"},
		"image/gif":                   {"gif"},
		"image/webp":                  {"webp"},
		"image/avif":                  {"avif"},
		"image/jxl":                   {"jxl"},
		"image/heic":                  {"heic"},
		"image/tiff":                  {"tif", "tiff"},
		"font/woff":                   {"woff"},
		"font/woff2":                  {"woff2"},
		"audio/mpeg":                  {"mp3"},
		"audio/mp4":                   {"m4a"},
		"audio/aac":                   {"aac"},
		"audio/flac":                  {"flac"},
		"audio/ogg":                   {"ogg", "oga", "opus"},
		"audio/wav":                   {"wav"},
		"audio/webm":                  {"weba"},
		"video/mp4":                   {"mp4", "m4v"},
		"video/mp2t":                  {"ts"},
		"video/iso.segment":           {"m4s"},
		"video/webm":                  {"webm"},
		"video/ogg":                   {"ogv"},
		"video/quicktime":             {"mov"},
		"application/pdf":             {"pdf"},
		"application/zip":             {"zip"},
		"application/gzip":            {"gz", "tgz"},
		"application/zstd":            {"zst"},
		"application/x-brotli":        {"br"},
		"application/x-xz":            {"xz"},
		"application/x-bzip2":         {"bz2"},
		"application/x-7z-compressed": {"7z"},
		"application/java-archive":    {"jar"},
		"application/epub+zip":        {"epub"},
	} {
		for _, e := range extensions {
			t[e] = contentType{value: value, packed: true}
		}
	}
	return t
}()

// typeOf is the type by the extension of the last segment, in any case.
func typeOf(name []byte) contentType {
	var lower [maxExtension]byte
	for i := len(name) - 1; i >= 0 && len(name)-1-i <= maxExtension && name[i] != '/'; i-- {
		if name[i] != '.' {
			continue
		}
		n := copy(lower[:], name[i+1:])
		for j, c := range lower[:n] {
			if 'A' <= c && c <= 'Z' {
				lower[j] = c | 0x20
			}
		}
		if t, ok := contentTypes[string(lower[:n])]; ok {
			return t
		}
		break
	}
	return unknownType
}
