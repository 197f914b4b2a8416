/**
 * How a call goes wrong.
 * - `error`: refused with this class before anything happens. `status` default 400.
 * - `throttle`: refused with ThrottlingException.
 * - `page`: an HTML page with this status that quotes the request, as a proxy's, before anything happens.
 * - `garbage`: 200 without JSON, `huge`: 200 with so many bytes; nothing happens either.
 * - `reset`: the connection breaks before anything happens; `lateReset`: after the call had its effect.
 * - `redirect`: 307 to another address of the fake, which notes who follows (`followed` in the log).
 * - `hold`: nothing is answered until the fault is lifted; then the call goes on, if its client still waits.
 */
export type Fault =
  | { readonly kind: 'error'; readonly code: string; readonly status?: number }
  | { readonly kind: 'throttle' }
  | { readonly kind: 'page'; readonly status: number }
  | { readonly kind: 'garbage' }
  | { readonly kind: 'huge'; readonly bytes: number }
  | { readonly kind: 'reset' }
  | { readonly kind: 'lateReset' }
  | { readonly kind: 'redirect' }
  | { readonly kind: 'hold' };

/** A fault that was ordered. */
export interface OrderedFault {
  /** Calls that met it. */
  readonly met: number;
  /** Ends it, and lets go what it holds. */
  readonly lift: () => void;
}

interface Order {
  readonly action: string;
  readonly fault: Fault;
  left: number;
  met: number;
  readonly lifted: Promise<void>;
  readonly lift: () => void;
}

/** The faults of one fake, by action. */
export class Faults {
  readonly #orders: Order[] = [];

  /** Breaks the next `calls` calls of an action, or of all (`*`). */
  order(action: string, fault: Fault, calls = Infinity): OrderedFault {
    const { promise, resolve } = Promise.withResolvers<void>();
    const lift = (): void => {
      const at = this.#orders.indexOf(order);
      if (at !== -1) this.#orders.splice(at, 1);
      resolve();
    };
    const order: Order = { action, fault, left: calls, met: 0, lifted: promise, lift };
    this.#orders.push(order);
    return {
      get met() {
        return order.met;
      },
      lift,
    };
  }

  liftAll(): void {
    for (const order of [...this.#orders]) order.lift();
  }

  /** The fault that this call meets; the oldest order comes first. */
  take(action: string): { readonly fault: Fault; readonly lifted: Promise<void> } | undefined {
    const order = this.#orders.find((one) => one.left > 0 && (one.action === action || one.action === '*'));
    if (order === undefined) return undefined;
    order.left -= 1;
    order.met += 1;
    return order;
  }
}
