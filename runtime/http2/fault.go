package http2

import (
	"sync/atomic"

	h2 "golang.org/x/net/http2"
)

// Code is an error code of RFC 9113 section 7.
type Code = h2.ErrCode

// The codes that a receiver resets streams with, or understands. ErrRefused is another.
const (
	ErrInternal = h2.ErrCodeInternal
	ErrCancel   = h2.ErrCodeCancel
	ErrClosed   = h2.ErrCodeStreamClosed
	ErrCalm     = h2.ErrCodeEnhanceYourCalm
	ErrSecurity = h2.ErrCodeInadequateSecurity
	ErrHTTP1    = h2.ErrCodeHTTP11Required
)

// Error says why a connection was ended, a stream was reset or a request was refused. Its values are constants of the package: they
// are compared and counted by pointer or by Reason, and never changed.
type Error struct {
	Code   Code   // of GOAWAY or RST_STREAM
	Status int    // for a request that is answered instead: 4xx or 5xx. 0: it is not
	Reason string // short, stable, lower case: for logs and metrics
}

// Error is the reason.
func (e *Error) Error() string { return e.Reason }

// ByPeer says that it was the peer who reset the stream.
func (e *Error) ByPeer() bool { return e == resetBy(e.Code) || e == &cancelled[len(cancelled)-1] }

// fault is the number of a reason; 0 is none.
type fault uint8

const (
	ok fault = iota

	// The connection ends.
	faultPreface
	faultFirstFrame
	faultFrameSize
	faultFrameStream
	faultFrameIdle
	faultFrameLength
	faultPadding
	faultStreamID
	faultStreamOld
	faultStreamClosed
	faultContinuation
	faultContinuations
	faultBlockSize
	faultListSize
	faultCompression
	faultSettingsValue
	faultSettingsWindow
	faultSettingsCount
	faultSettingsTime
	faultWindowZero
	faultWindowOverflow
	faultFlowControl
	faultSelfDependency
	faultPush
	faultPriorityUpdate
	faultCalm
	faultPeerError

	// The stream is reset.
	faultFieldName
	faultFieldValue
	faultFieldConnection
	faultPseudo
	faultPseudoTrailer
	faultTrailerEnd
	faultMethod
	faultScheme
	faultPath
	faultAuthority
	faultLength
	faultLengthSum
	faultConnect
	faultRefused
	faultDataClosed
	faultStreamWindow
	faultStatus
	faultInterims
	faultNoHead

	// The request is answered.
	faultTooLarge
	faultTooManyFields
	faultTargetTooLong
	faultMethodTooLong
	faultTargetByte
	faultTargetEscape
	faultTargetDots
	faultHostMissing
	faultHostInvalid
	faultUnderscore
	faultExpect
	faultBodyTooLarge

	// Odd, and paid for from the budget.
	oddReset
	oddPing
	oddSettings
	oddAck
	oddPriority
	oddWindow
	oddEmpty
	oddTiny
	oddUnknown
	oddGoaway
	oddLate

	faultCount
)

var faults = [faultCount]Error{
	faultPreface:        {h2.ErrCodeProtocol, 0, "invalid connection preface"},
	faultFirstFrame:     {h2.ErrCodeProtocol, 0, "no settings first"},
	faultFrameSize:      {h2.ErrCodeFrameSize, 0, "frame too large"},
	faultFrameStream:    {h2.ErrCodeProtocol, 0, "frame on the wrong stream"},
	faultFrameIdle:      {h2.ErrCodeProtocol, 0, "frame on an idle stream"},
	faultFrameLength:    {h2.ErrCodeFrameSize, 0, "invalid frame length"},
	faultPadding:        {h2.ErrCodeProtocol, 0, "padding longer than its frame"},
	faultStreamID:       {h2.ErrCodeProtocol, 0, "invalid stream id"},
	faultStreamOld:      {h2.ErrCodeProtocol, 0, "stream id goes backwards"},
	faultStreamClosed:   {h2.ErrCodeStreamClosed, 0, "frame after the end of its stream"},
	faultContinuation:   {h2.ErrCodeProtocol, 0, "continuation out of place"},
	faultContinuations:  {h2.ErrCodeEnhanceYourCalm, 0, "too many continuation frames"},
	faultBlockSize:      {h2.ErrCodeEnhanceYourCalm, 0, "header block too large"},
	faultListSize:       {h2.ErrCodeEnhanceYourCalm, 0, "header section far too large"},
	faultCompression:    {h2.ErrCodeCompression, 0, "invalid header block"},
	faultSettingsValue:  {h2.ErrCodeProtocol, 0, "invalid setting"},
	faultSettingsWindow: {h2.ErrCodeFlowControl, 0, "initial window too large"},
	faultSettingsCount:  {h2.ErrCodeEnhanceYourCalm, 0, "too many settings in a frame"},
	faultSettingsTime:   {h2.ErrCodeSettingsTimeout, 0, "settings not acknowledged"},
	faultWindowZero:     {h2.ErrCodeProtocol, 0, "window update of zero"},
	faultWindowOverflow: {h2.ErrCodeFlowControl, 0, "window too large"},
	faultFlowControl:    {h2.ErrCodeFlowControl, 0, "more data than the window"},
	faultSelfDependency: {h2.ErrCodeProtocol, 0, "stream depends on itself"},
	faultPush:           {h2.ErrCodeProtocol, 0, "push promise"},
	faultPriorityUpdate: {h2.ErrCodeProtocol, 0, "invalid priority update"},
	faultCalm:           {h2.ErrCodeEnhanceYourCalm, 0, "budget for odd frames spent"},
	faultPeerError:      {h2.ErrCodeNo, 0, "the client ended it for an error"},

	faultFieldName:       {h2.ErrCodeProtocol, 0, "invalid field name"},
	faultFieldValue:      {h2.ErrCodeProtocol, 0, "invalid byte in a field value"},
	faultFieldConnection: {h2.ErrCodeProtocol, 0, "connection-specific field"},
	faultPseudo:          {h2.ErrCodeProtocol, 0, "invalid pseudo-header"},
	faultPseudoTrailer:   {h2.ErrCodeProtocol, 0, "pseudo-header in trailers"},
	faultTrailerEnd:      {h2.ErrCodeProtocol, 0, "trailers that do not end the stream"},
	faultMethod:          {h2.ErrCodeProtocol, 0, "invalid method"},
	faultScheme:          {h2.ErrCodeProtocol, 0, "invalid scheme"},
	faultPath:            {h2.ErrCodeProtocol, 0, "invalid path"},
	faultAuthority:       {h2.ErrCodeProtocol, 0, "authority and host differ"},
	faultLength:          {h2.ErrCodeProtocol, 0, "invalid content-length"},
	faultLengthSum:       {h2.ErrCodeProtocol, 0, "body is not as long as content-length"},
	faultConnect:         {h2.ErrCodeProtocol, 0, "invalid connect request"},
	faultRefused:         {h2.ErrCodeRefusedStream, 0, "too many streams"},
	faultDataClosed:      {h2.ErrCodeStreamClosed, 0, "data on a closed stream"},
	faultStreamWindow:    {h2.ErrCodeFlowControl, 0, "window of a stream too large"},
	faultStatus:          {h2.ErrCodeProtocol, 0, "invalid status"},
	faultInterims:        {h2.ErrCodeEnhanceYourCalm, 0, "too many interim responses"},
	faultNoHead:          {h2.ErrCodeProtocol, 0, "data before a head"},

	faultTooLarge:      {h2.ErrCodeNo, 431, "header section too large"},
	faultTooManyFields: {h2.ErrCodeNo, 431, "too many header fields"},
	faultTargetTooLong: {h2.ErrCodeNo, 414, "request target too long"},
	faultMethodTooLong: {h2.ErrCodeNo, 501, "method too long"},
	faultTargetByte:    {h2.ErrCodeNo, 400, "invalid byte in the request target"},
	faultTargetEscape:  {h2.ErrCodeNo, 400, "invalid escape in the request target"},
	faultTargetDots:    {h2.ErrCodeNo, 400, "dot segment in the request target"},
	faultHostMissing:   {h2.ErrCodeNo, 400, "no host"},
	faultHostInvalid:   {h2.ErrCodeNo, 400, "invalid host"},
	faultUnderscore:    {h2.ErrCodeNo, 400, "underscore in a framing field name"},
	faultExpect:        {h2.ErrCodeNo, 417, "unknown expectation"},
	faultBodyTooLarge:  {h2.ErrCodeNo, 413, "body too large"},

	oddReset:    {0, 0, "reset by the client"},
	oddPing:     {0, 0, "ping"},
	oddSettings: {0, 0, "settings"},
	oddAck:      {0, 0, "acknowledgement of nothing"},
	oddPriority: {0, 0, "priority"},
	oddWindow:   {0, 0, "window update"},
	oddEmpty:    {0, 0, "empty data"},
	oddTiny:     {0, 0, "tiny data"},
	oddUnknown:  {0, 0, "unknown frame"},
	oddGoaway:   {0, 0, "goaway"},
	oddLate:     {0, 0, "frame for a closed stream"},
}

// Counts are the numbers of connections ended, streams reset, requests refused and odd frames, by reason. They are shared by all
// sessions of a server. The zero value is ready.
type Counts [faultCount]atomic.Uint64

// Each calls f for every reason that has occurred. scope is what it cost: "connection", "stream", "request", or "budget".
func (c *Counts) Each(f func(scope, reason string, n uint64)) {
	for i := range c {
		if n := c[i].Load(); n > 0 {
			f(fault(i).scope(), faults[i].Reason, n)
		}
	}
}

func (f fault) scope() string {
	switch {
	case f < faultFieldName:
		return "connection"
	case f < faultTooLarge:
		return "stream"
	case f < oddReset:
		return "request"
	}
	return "budget"
}
