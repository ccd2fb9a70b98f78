package quota

// step is the time between two of a rate in nanoseconds; 0 = no limit.
func step(l *Limit, v Value) int64 { return 0 }

// Operation is an operation as its rates see it.
type Operation struct {
	Name              string
	account, resource *Limit
}

var operations = map[string]*Operation{}

// OperationOf returns the operation of a name; one without rates is never limited.
func OperationOf(name string) *Operation {
	if operations[name] == nil {
		operations[name] = &Operation{Name: name}
	}
	return operations[name]
}
