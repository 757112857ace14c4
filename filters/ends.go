package filters

// ends are the flags in words: what became of a filter's part in an exchange. Of one that went on there is nothing to say but
// that it has paused.
var ends = [...]string{FlagNone: "paused", FlagSkipped: "skipped", FlagReplied: "replied", FlagFailed: "failed",
	FlagPaused: "expired", FlagBody: "body", FlagAborted: "aborted", FlagLimit: "limit"}
