package contracttest

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// compact renders a decoded value on one line.
func compact(value any) string {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(body)
}

// masked stands where a volatile value was and keeps its JSON type, so that comparing finds both another type and a
// missing value.
type masked string

// mask replaces what the pointer leads to, within value. What is not there stays so, for the comparison to find.
func mask(value any, pointer []string) any {
	if len(pointer) == 0 {
		return masked(jsonType(value))
	}
	switch node := value.(type) {
	case map[string]any:
		if child, ok := node[pointer[0]]; ok {
			node[pointer[0]] = mask(child, pointer[1:])
		}
	case []any:
		if i, err := strconv.Atoi(pointer[0]); err == nil && i >= 0 && i < len(node) {
			node[i] = mask(node[i], pointer[1:])
		}
	}
	return value
}

func jsonType(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}
