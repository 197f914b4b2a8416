/** What follows when an immutable field of a resource changes. */
export const Replacement = {
  /** The object is deleted, which revokes its keys at once, and made anew. */
  DeleteFirst: 'DeleteFirst',
} as const;
/** What follows when an immutable field of a resource changes. */
export type Replacement = (typeof Replacement)[keyof typeof Replacement];
