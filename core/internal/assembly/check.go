package assembly

import (
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// CheckBindings makes the shapes of the bindings that are added, and returns everything
// that is wrong with them. Their names must differ from those of the others, which are
// registered already. It calls loaders, so the caller holds no lock.
func CheckBindings(added, others []*rowset.Member) (errs []error) {
	seen := make(map[string]*rowset.Member)
	for _, v := range others {
		seen[v.Name()] = v
	}
	for _, v := range added {
		switch other := seen[v.Name()]; {
		case other == v:
			errs = append(errs, fmt.Errorf("core: %s is added twice", v.Describe()))
			continue
		case v.Base != nil:
			errs = append(errs, fmt.Errorf("core: binding %q is a member of a family: add the family", v.ID()))
			continue
		case other != nil:
			errs = append(errs, SameName(other, v))
		}
		seen[v.Name()] = v
		if !v.Claim() {
			errs = append(errs, fmt.Errorf("core: %s has been in a registry before: declare it anew", v.Describe()))
			continue
		}
		errs = append(errs, checkDeclaration(v)...)
	}
	for _, v := range added {
		errs = append(errs, checkRelated(v, slices.Concat(others, added))...)
	}
	return errs
}

// SameName says that two bindings have one name.
func SameName(one, other *rowset.Member) error {
	return fmt.Errorf("core: two bindings are named %q: one declared at %s, one at %s",
		one.Name(), one.Spec.DeclaredAt, other.Spec.DeclaredAt)
}

// checkDeclaration makes the binding's shape and returns what is wrong with it.
func checkDeclaration(v *rowset.Member) (errs []error) {
	type result struct {
		shape    *rowset.Shape
		problems []error
	}
	res, err := untyped.Guard("the loader", func() (res result, err error) {
		res.shape, res.problems = v.Check()
		return res, nil
	})
	if err != nil {
		return []error{fmt.Errorf("core: %s: %w", v.Describe(), err)}
	}
	for _, p := range res.problems {
		errs = append(errs, fmt.Errorf("core: %s: %w", v.Describe(), p))
	}
	if res.shape != nil {
		v.Become(res.shape)
	}
	return errs
}

// checkRelated returns what is wrong with the related tables of a binding. All
// who read a table must agree on its key, because reports name rows by it.
func checkRelated(v *rowset.Member, all []*rowset.Member) (errs []error) {
	for _, rel := range v.RelatedTables() {
		if err := rel.Schema.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("core: %s: related rows: %w", v.Describe(), err))
			continue
		}
		for _, o := range all {
			if s := o.Schema(); s.Table == rel.Schema.Table && !slices.Equal(s.Key, rel.Schema.Key) {
				errs = append(errs, fmt.Errorf("core: %s shows rows of table %q by the key %q, but %s has them by the key %q: give the table one key",
					v.Describe(), s.Table, rel.Schema.Key, o.Describe(), s.Key))
				break
			}
		}
	}
	return errs
}

// CheckPart returns what a transport or a plugin, registered at this place, says is
// wrong with it.
func CheckPart(kind string, part interface{ Name() string }, at string) []error {
	v, ok := part.(driver.Validator)
	if !ok {
		return nil
	}
	if _, err := untyped.Guard("the "+kind, func() (struct{}, error) { return struct{}{}, v.Validate() }); err != nil {
		return []error{fmt.Errorf("core: %s %q (%s): %w", kind, part.Name(), at, err)}
	}
	return nil
}

// CheckSource returns what is wrong with a source that was registered at this place, where
// the bindings are all that there are.
func CheckSource(s driver.Source, at string, bindings []*rowset.Member) []error {
	problems, err := untyped.Guard("the source", func() ([]error, error) { return checkSource(s, at, bindings), nil })
	if err != nil {
		return []error{fmt.Errorf("core: source registered at %s: %w", at, err)}
	}
	return problems
}

func checkSource(s driver.Source, at string, bindings []*rowset.Member) (errs []error) {
	if v, ok := s.(driver.Validator); ok {
		if err := v.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("core: source %q (%s): %w", s.Name(), at, err))
		}
	}
	scoped, ok := s.(driver.Scoper)
	if !ok {
		return errs
	}
	for _, named := range scoped.Scope().Tables {
		one := driver.Scope{Tables: []driver.Table{named}}
		if !slices.ContainsFunc(bindings, func(v *rowset.Member) bool { return slices.ContainsFunc(v.Tables(), one.Covers) }) {
			errs = append(errs, fmt.Errorf("core: source %q (%s) watches table %q, which no binding reads", s.Name(), at, named))
		}
	}
	return errs
}
