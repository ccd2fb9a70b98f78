package permission

var iam = Section{Title: "IAM (iam)", Text: "The operations of IAM that are served, in the Query protocol."}
