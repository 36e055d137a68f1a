package sqltext

import "strings"

// commitsImplicitly are the first words of statements before which MySQL
// commits an open transaction.
var commitsImplicitly = map[string]bool{
	"ALTER": true, "CREATE": true, "DROP": true, "TRUNCATE": true, "RENAME": true, "GRANT": true, "REVOKE": true,
	"ANALYZE": true, "OPTIMIZE": true, "REPAIR": true, "LOCK": true, "UNLOCK": true, "LOAD": true, "FLUSH": true,
	"CACHE": true, "CHECK": true, "INSTALL": true, "UNINSTALL": true, "RESET": true, "IMPORT": true,
}

// transaction reads a statement about transactions; ok is false for any other
// statement. What it does not understand of one leaves the transaction unknown,
// and may write anything.
func (p *Text) transaction(s Span, keyword string) (understood, ok bool) {
	next := s.Lo + 1
	modes := []string{
		"WORK", "TRANSACTION", "TRAN", "DEFERRED", "IMMEDIATE", "EXCLUSIVE", "ISOLATION", "LEVEL", "SERIALIZABLE", "REPEATABLE",
		"READ", "COMMITTED", "UNCOMMITTED", "WRITE", "ONLY", "NOT", "DEFERRABLE", "WITH", "CONSISTENT", "SNAPSHOT",
	}
	rest := Span{next, s.Hi}
	switch keyword {
	case "BEGIN":
		if !p.onlyWords(rest, modes...) {
			return p.lost()
		}
		p.add(Begin)
	case "START":
		if !p.Word(next, "TRANSACTION") || !p.onlyWords(rest, modes...) {
			return p.lost()
		}
		p.add(Begin)
	case "COMMIT", "END":
		switch {
		case p.Word(next, "PREPARED") && p.Dialect == Postgres:
			p.add(WriteAny) // what another session has prepared
		case p.ending(rest, true):
			p.add(CommitChain)
		case p.ending(rest, false):
			p.add(Commit)
		default:
			return p.lost()
		}
	case "ROLLBACK", "ABORT":
		to := next
		if p.Word(to, "WORK", "TRANSACTION") {
			to++
		}
		switch {
		case p.Word(to, "TO"), p.Word(next, "PREPARED") && p.Dialect == Postgres:
		case p.ending(rest, true):
			p.add(RollbackChain)
		case p.ending(rest, false):
			p.add(Rollback)
		default:
			return p.lost()
		}
	case "SAVEPOINT":
		if next != s.Hi-1 || !p.IsName(next) {
			return p.lost()
		}
		p.Ops = append(p.Ops, Op{Effect: Savepoint, Name: strings.ToLower(p.Name(next))})
	case "RELEASE":
		if p.Word(next, "SAVEPOINT") && next < s.Hi-1 {
			next++
		}
		if next != s.Hi-1 || !p.IsName(next) {
			return p.lost()
		}
		p.Ops = append(p.Ops, Op{Effect: ReleasePoint, Name: strings.ToLower(p.Name(next))})
	case "PREPARE":
		if p.Dialect != Postgres {
			return false, false
		}
		if p.Word(next, "TRANSACTION") {
			p.add(Unknown)
		} // else it runs with EXECUTE
		p.verbs += p.countVerbs(s)
	default:
		return false, false
	}
	return true, true
}

// lost answers for a statement about transactions that is not understood.
func (p *Text) lost() (understood, ok bool) {
	p.add(Unknown)
	return false, true
}

func (p *Text) onlyWords(s Span, words ...string) bool {
	for i := s.Lo; i < s.Hi; i++ {
		if !p.Word(i, words...) && !p.Is(i, ",") {
			return false
		}
	}
	return true
}

// ending reads [WORK|TRANSACTION [name]] [AND [NO] CHAIN] [NO RELEASE] behind
// COMMIT and ROLLBACK, with AND CHAIN or without. RELEASE closes the connection.
func (p *Text) ending(s Span, chain bool) bool {
	at := s.Lo
	if p.Word(at, "WORK", "TRANSACTION", "TRAN") {
		if at++; p.Dialect == SQLite && at < s.Hi && p.IsName(at) {
			at++
		}
	}
	chains := false
	if p.words(at, "AND", "CHAIN") {
		chains = true
		at += 2
	} else if p.words(at, "AND", "NO", "CHAIN") {
		at += 3
	}
	if p.Dialect == MySQL && p.words(at, "NO", "RELEASE") {
		at += 2
	}
	return at == s.Hi && chains == chain
}

// set reads SET. In MySQL it may call a function that writes, and decide about
// transactions: with autocommit off, every statement begins one.
func (p *Text) set(s Span) bool {
	p.verbs += p.countVerbs(s)
	if p.Dialect != MySQL {
		return p.Dialect == Postgres
	}
	for i := s.Lo; i < s.Hi; i++ {
		text := strings.ToLower(strings.Trim(p.Token(i), "`"))
		if strings.HasSuffix(text, "autocommit") || strings.HasSuffix(text, "completion_type") {
			p.add(CommitImplicit)
			p.add(UnknownForGood)
			break
		}
	}
	return !p.hasCall(s)
}

// hasCall reports whether the span holds a parenthesis.
func (p *Text) hasCall(s Span) bool {
	for i := s.Lo; i < s.Hi; i++ {
		if p.Is(i, "(") {
			return true
		}
	}
	return false
}
