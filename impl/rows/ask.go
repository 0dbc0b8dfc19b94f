package rows

// AskHeader names a row to a sandbox on a call of its operation, as [Step.String] writes it, and has it come out whatever
// the call says besides. Where that comes from is openapi/sandbox.yaml.
const AskHeader = "PinVault-Row"

// Plain are requests with nothing special about them, by operation: those of the first success that needs nothing
// before it, else of any first row.
func Plain(all []Row) map[string]*Row {
	plain := map[string]*Row{}
	rank := func(r *Row) (n int) {
		for _, special := range []bool{r.Reply.Status >= 300, r.Raw, r.Authorization != "", r.Fault != "", len(r.Override) > 0,
			r.Session != nil, len(r.After) > 0} {
			if special {
				n++
			}
		}
		return n
	}
	for i := range all {
		r := &all[i]
		if known := plain[r.Operation]; known == nil || rank(r) < rank(known) {
			plain[r.Operation] = r
		}
	}
	return plain
}
