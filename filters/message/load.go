package message

// Load copies block into the list's memory and returns the copy: a codec that has a whole header section in one piece
// copies it once and cuts names and values out of the copy with [Fields.AddView]. The copy is valid until Reset. Its
// bytes may be changed only before a view of them is handed out.
func (f *Fields) Load(block []byte) []byte {
	at := len(f.text)
	f.text = append(f.text, block...)
	return f.text[at:len(f.text):len(f.text)]
}

// AddView appends a line without copying. Both parts must be views of memory that lives as long as the list's own (of
// what Load returned), or constants, and the name must be in lower case.
func (f *Fields) AddView(name, value string) { f.lines = append(f.lines, line{name, value}) }
