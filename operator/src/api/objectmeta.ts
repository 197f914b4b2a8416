import * as z from 'zod';

/** The most characters of all labels, or all annotations, together: what the API server takes (apimachinery, TotalAnnotationSizeLimitB). */
const textMapLimit = 262_144;

// apimachinery, IsQualifiedName and IsValidLabelValue.
const prefixPattern = /^(?=.{1,253}\/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\//;
const labelPattern = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$/;
const nameMessage =
  'must be a name of at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends, after an optional "example.com/"';
const valueMessage = 'must have at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends';

function isQualifiedName(name: string): boolean {
  return labelPattern.test(name.replace(prefixPattern, ''));
}

function textMap(isName: (name: string) => boolean, value: z.ZodType<string, string>) {
  return z
    .record(z.string().refine(isName, { error: nameMessage }), value)
    .refine((map) => Object.entries(map).reduce((sum, [key, text]) => sum + key.length + text.length, 0) <= textMapLimit, {
      error: `must have at most ${textMapLimit / 1024} KiB in all`,
    })
    .exactOptional();
}

/** The labels of an object, as the API server takes them. */
export const labels = textMap(
  isQualifiedName,
  z.string().refine((text) => text === '' || labelPattern.test(text), { error: valueMessage }),
);

/** The annotations of an object. The API server takes capitals in the prefix of their names, too. */
export const annotations = textMap((name) => isQualifiedName(name.toLowerCase()), z.string());

const unread = z.unknown().optional();

/** What a copied live object has beside these: accepted, and left out. */
export const otherMetadata = {
  creationTimestamp: unread,
  deletionGracePeriodSeconds: unread,
  deletionTimestamp: unread,
  finalizers: unread,
  generateName: unread,
  generation: unread,
  managedFields: unread,
  ownerReferences: unread,
  resourceVersion: unread,
  selfLink: unread,
  uid: unread,
} as const satisfies Readonly<Record<string, typeof unread>>;
