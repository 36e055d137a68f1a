package bunsource

import (
	"strings"
)

// implicitlyCommits are the first words of statements before which MySQL
// commits an open transaction.
var implicitlyCommits = map[string]bool{
	"ALTER": true, "CREATE": true, "DROP": true, "TRUNCATE": true, "RENAME": true, "GRANT": true, "REVOKE": true,
	"ANALYZE": true, "OPTIMIZE": true, "REPAIR": true, "LOCK": true, "UNLOCK": true, "LOAD": true, "FLUSH": true,
	"CACHE": true, "CHECK": true, "INSTALL": true, "UNINSTALL": true, "RESET": true, "IMPORT": true,
}

// transaction adds what a statement about transactions does. It reports false
// for any other statement.
func (p *parsed) transaction(s span, keyword string) bool {
	next := s.lo + 1
	switch keyword {
	case "BEGIN":
		p.add(opBegin)
	case "START":
		if p.word(next, "TRANSACTION") {
			p.add(opBegin)
		}
	case "COMMIT", "END":
		switch {
		case p.word(next, "PREPARED"):
			p.add(opAny)
		case p.chains(s):
			p.add(opCommitChain)
		default:
			p.add(opCommit)
		}
	case "ROLLBACK", "ABORT":
		switch {
		case p.has(s, "TO"), p.word(next, "PREPARED"):
		case p.chains(s):
			p.add(opRollbackChain)
		default:
			p.add(opRollback)
		}
	case "SAVEPOINT":
		p.ops = append(p.ops, op{kind: opSavepoint, name: p.lastName(s)})
	case "RELEASE":
		p.ops = append(p.ops, op{kind: opRelease, name: p.lastName(s)})
	case "PREPARE":
		if !p.word(next, "TRANSACTION") {
			return false
		}
		p.add(opUnknown)
	case "SET":
		if !p.has(s, "AUTOCOMMIT") {
			return false
		}
		p.add(opCommitImplicit)
		p.add(opUnknown)
	default:
		return false
	}
	return true
}

func (p *parsed) chains(s span) bool { return p.has(s, "CHAIN") && !p.has(s, "NO") }

func (p *parsed) has(s span, keyword string) bool {
	for i := s.lo; i < s.hi; i++ {
		if p.word(i, keyword) {
			return true
		}
	}
	return false
}

func (p *parsed) lastName(s span) string { return strings.ToLower(p.ident(s.hi - 1)) }
