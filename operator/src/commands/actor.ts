import { userInfo } from 'node:os';
import type { Actor } from '../store/port.ts';

/** Who runs this command, for the audit: `cli:<user>`. A user id without a name is common in containers. */
export function actorOfCommand(): Actor {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    return `cli:uid ${String(process.getuid?.() ?? 'unknown')}`;
  }
}
