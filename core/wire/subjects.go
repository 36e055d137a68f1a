package wire

import (
	"encoding/base64"
	"regexp"
)

// Subjects are the NATS subjects on which a binding is published: Log carries its messages,
// At the position of the last snapshot ([SnapshotAt]), and Beat the publisher's heartbeat
// ([Beat]).
type Subjects struct{ Log, At, Beat string }

// SnapshotAt says at which sequence of the stream the pages of a snapshot begin, and their
// size in bytes.
type SnapshotAt struct {
	Seq   uint64 `json:"seq"`
	Bytes int    `json:"bytes"`
}

// Beat is the heartbeat, sent regularly and after each batch: the publisher, the last
// sequence of the stream that it published, the version there, and whether its own rows are
// current ("live" or "stale").
type Beat struct {
	By      string `json:"by"`
	Seq     uint64 `json:"seq"`
	Version string `json:"version"`
	State   string `json:"state"`
}

var plainSubject = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// SubjectsOf returns the subjects of the binding, or member, with the ID ([live.View.ID]),
// below the prefix. An ID that is not valid in a subject is encoded in base64.
func SubjectsOf(prefix, id string) Subjects {
	if !plainSubject.MatchString(id) {
		id = "_" + base64.RawURLEncoding.EncodeToString([]byte(id))
	}
	base := prefix + "." + id + "."
	return Subjects{base + "log", base + "at", base + "beat"}
}
