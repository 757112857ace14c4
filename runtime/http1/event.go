package http1

// Event is what a reader found.
type Event uint8

const (
	// More says that nothing further can be said without more bytes. Bytes may have been consumed all the same.
	More Event = iota

	// Head says that the message's head is complete and in the message.
	Head

	// Data says that Data() holds bytes of the body.
	Data

	// End says that the message is complete, trailers included. Feed consumes nothing beyond it until Reset.
	End

	// Interim says that a 1xx response other than 101 is in the message; another head follows (responses only).
	Interim
)

// String is the event's name in tests and traces.
func (e Event) String() string {
	switch e {
	case More:
		return "more"
	case Head:
		return "head"
	case Data:
		return "data"
	case End:
		return "end"
	case Interim:
		return "interim"
	}
	return "unknown"
}

// Error says why a message was refused. Its values are constants of the package: they are compared and counted by
// pointer or by Reason, and never changed. After an error the connection cannot be read further: the caller answers
// with Status where no response has begun, and closes.
type Error struct {
	Status int    // what the client gets: 4xx or 5xx; 502 for whatever an upstream sent
	Reason string // short, stable, lower case: for logs and metrics
}

// Error is the reason.
func (e *Error) Error() string { return e.Reason }

// fault is the number of a reason; 0 is none. It fits where a reader remembers how it ended.
type fault uint8

const (
	ok fault = iota
	faultBareCR
	faultBareLF
	faultEmptyLines
	faultHeadTooLarge
	faultTooManyFields
	faultTargetTooLong
	faultMethod
	faultMethodTooLong
	faultRequestLine
	faultVersion
	faultVersionUnknown
	faultTargetForm
	faultTargetByte
	faultTargetEscape
	faultTargetDots
	faultFieldFold
	faultFieldName
	faultFieldColon
	faultFieldValue
	faultFieldUnderscore
	faultHostMissing
	faultHostTwice
	faultHostInvalid
	faultLengthTwice
	faultLengthInvalid
	faultLengthAndEncoding
	faultEncoding
	faultEncodingVersion
	faultConnection
	faultExpect
	faultConnectBody
	faultBodyTooLarge
	faultChunkSize
	faultChunkExt
	faultChunkExtTooLarge
	faultChunkEnd
	faultStatusLine
	faultStatusLineTooLong
	faultInterimBody
	faultTooManyInterims
	faultSwitch
	faultClosedBefore
	faultClosedHead
	faultClosedBody
	faultCount
)

var requestErrors = [faultCount]Error{
	faultBareCR:            {400, "bare cr"},
	faultBareLF:            {400, "bare lf"},
	faultEmptyLines:        {400, "too many empty lines before the request"},
	faultHeadTooLarge:      {431, "header section too large"},
	faultTooManyFields:     {431, "too many header fields"},
	faultTargetTooLong:     {414, "request target too long"},
	faultMethod:            {400, "invalid method"},
	faultMethodTooLong:     {501, "method too long"},
	faultRequestLine:       {400, "invalid request line"},
	faultVersion:           {400, "invalid protocol version"},
	faultVersionUnknown:    {505, "unsupported protocol version"},
	faultTargetForm:        {400, "invalid request target form"},
	faultTargetByte:        {400, "invalid byte in the request target"},
	faultTargetEscape:      {400, "invalid escape in the request target"},
	faultTargetDots:        {400, "dot segment in the request target"},
	faultFieldFold:         {400, "folded or indented field line"},
	faultFieldName:         {400, "invalid field name"},
	faultFieldColon:        {400, "no colon right after the field name"},
	faultFieldValue:        {400, "invalid byte in a field value"},
	faultFieldUnderscore:   {400, "underscore in a framing field name"},
	faultHostMissing:       {400, "no host"},
	faultHostTwice:         {400, "more than one host"},
	faultHostInvalid:       {400, "invalid host"},
	faultLengthTwice:       {400, "more than one content-length"},
	faultLengthInvalid:     {400, "invalid content-length"},
	faultLengthAndEncoding: {400, "content-length and transfer-encoding together"},
	faultEncoding:          {400, "transfer-encoding is not chunked alone"},
	faultEncodingVersion:   {400, "transfer-encoding in http/1.0"},
	faultConnection:        {400, "invalid connection field"},
	faultExpect:            {417, "unknown expectation"},
	faultConnectBody:       {400, "content in a connect request"},
	faultBodyTooLarge:      {413, "body too large"},
	faultChunkSize:         {400, "invalid chunk size"},
	faultChunkExt:          {400, "invalid chunk extension"},
	faultChunkExtTooLarge:  {400, "too many chunk extensions"},
	faultChunkEnd:          {400, "chunk not followed by crlf"},
}

var responseErrors = func() (t [faultCount]Error) {
	for i := range requestErrors {
		t[i] = Error{502, requestErrors[i].Reason}
	}
	for i, reason := range map[fault]string{
		faultStatusLine:        "invalid status line",
		faultStatusLineTooLong: "status line too long",
		faultInterimBody:       "content in a 1xx response",
		faultTooManyInterims:   "too many 1xx responses",
		faultSwitch:            "101 without upgrade",
		faultClosedBefore:      "closed before the response",
		faultClosedHead:        "closed within the response head",
		faultClosedBody:        "closed within the response body",
	} {
		t[i] = Error{502, reason}
	}
	return t
}()

func requestError(f fault) *Error {
	if f == ok {
		return nil
	}
	return &requestErrors[f]
}

func responseError(f fault) *Error {
	if f == ok {
		return nil
	}
	return &responseErrors[f]
}
