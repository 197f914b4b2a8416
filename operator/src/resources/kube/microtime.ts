import type { Instant } from '../../domain/time.ts';

/** Kubernetes' MicroTime: exactly six fraction digits, or the server refuses it. */
export function formatMicroTime(at: Instant): string {
  return `${new Date(at).toISOString().slice(0, 23)}000Z`;
}
