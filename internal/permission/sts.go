package permission

var sts = Section{Title: "STS (sts)", Text: "The operations of STS that are served, in the Query protocol.",
	Permissions: []Permission{}}
