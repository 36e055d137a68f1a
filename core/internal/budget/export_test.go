package budget

// OfGroups is ofGroups.
var OfGroups = ofGroups
