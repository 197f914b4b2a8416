/** A named CEL expression that others use as `variables.<name>`; evaluated once, when first asked for. */
export interface Variable {
  readonly name: string;
  readonly expression: string;
}

/** Whether a field of the spec has another value than before. */
export const changed = (field: string): string => `object.spec.?${field} != oldObject.spec.?${field}`;

/** The same for an annotation. */
export const annotationChanged = (name: string): string =>
  `variables.annotations[?'${name}'] != variables.oldAnnotations[?'${name}']`;

/** A list of the metadata, of the new or the old object; empty if there is none. */
export const listOf = (object: 'object' | 'oldObject', member: string): string => `${object}.metadata.?${member}.orValue([])`;
