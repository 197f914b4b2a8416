import type { Endpoint } from '../domain/catalog.ts';
import { decodeSegment } from './target.ts';

/** Where a method of one template leads. */
export interface Route {
  readonly method: string;
  /** The endpoint's place in the catalog's list. */
  readonly number: number;
  /** The places, from 0, of the segments that name the application. */
  readonly applicationAt: readonly number[];
  /** Another method of the same place. A chain, because nearly every place has one or two: it is shorter than a map's way. */
  readonly next: Route | undefined;
}

/** One segment's depth in the tree of all templates of a catalog. */
export interface RouteNode {
  readonly literals: ReadonlyMap<string, RouteNode> | undefined;
  /** The same literals by their {@link fold}: of one text all spellings, because each may lead elsewhere. */
  readonly folded: ReadonlyMap<string, readonly RouteNode[]> | undefined;
  readonly parameter: RouteNode | undefined;
  readonly route: Route | undefined;
}

/** Never routed, also when a catalog should list them: the first makes a tunnel, the second echoes the key. */
const neverRouted: readonly string[] = ['CONNECT', 'TRACE'];

/**
 * Builds the tree of a catalog's templates, once per catalog. Where two entries claim one place, the first has it.
 * `applicationParameter` is the path parameter that names the application, where one does.
 */
export function buildRoutes(endpoints: readonly Endpoint[], applicationParameter?: string): RouteNode {
  const root = new GrowingNode();
  endpoints.forEach(({ method, path }, number) => {
    if (neverRouted.includes(method)) return;
    const segments = path === '/' ? [] : path.slice(1).split('/');
    let node = root;
    const applicationAt: number[] = [];
    segments.forEach((text, segment) => {
      const name = parameterName(text);
      if (name !== undefined && name === applicationParameter) applicationAt.push(segment);
      node = name === undefined ? node.literal(text) : node.anything();
    });
    if (routeOf(node, method) === undefined) node.route = { method, number, applicationAt, next: node.route };
  });
  return root;
}

/**
 * Finds the endpoint of a request by its canonical segments: a literal beats a parameter segment by segment, and where the
 * literal leads nowhere, also for want of the method, the parameter is tried. HEAD follows GET unless it has its own entry.
 *
 * `%40me` is no `@me` to us, and `ME` no `me`, but they may be to the API: many frameworks ignore the case of a path. A target that
 * would lead elsewhere if its remaining escapes were decoded, or without regard to case, is refused, or it would be let in by the
 * wrong entry.
 */
export function findRoute(
  root: RouteNode,
  method: string,
  { segments, escaped }: { readonly segments: readonly string[]; readonly escaped: boolean },
): Route | undefined {
  const asked: Asked = { method, segments, folds: false, hasAlike: false };
  const route = descend(root, asked, 0);
  if (route === undefined || !(escaped || asked.hasAlike)) return route;
  const decoded: Asked = escaped ? { ...asked, segments: segments.map(decodeSegment) } : asked;
  if (escaped && descend(root, decoded, 0) !== route) return undefined;
  return !decoded.hasAlike || descend(root, { ...decoded, folds: true }, 0) === route ? route : undefined;
}

interface Asked {
  readonly method: string;
  readonly segments: readonly string[];
  /** Whether a literal in another case comes before the parameter. */
  readonly folds: boolean;
  /** Set where there is such a literal: only then, `folds` makes a difference. */
  hasAlike: boolean;
}

function descend(node: RouteNode, asked: Asked, depth: number): Route | undefined {
  const { method, segments } = asked;
  const segment = segments[depth];
  if (segment === undefined) return routeOf(node, method) ?? (method === 'HEAD' ? routeOf(node, 'GET') : undefined);
  const literal = node.literals?.get(segment);
  const found = literal && descend(literal, asked, depth + 1);
  if (found !== undefined) return found;
  for (const alike of node.folded?.get(fold(segment)) ?? []) {
    if (alike === literal) continue;
    asked.hasAlike = true;
    const other = asked.folds ? descend(alike, asked, depth + 1) : undefined;
    if (other !== undefined) return other;
  }
  return node.parameter && descend(node.parameter, asked, depth + 1);
}

/** The same for texts that differ only in case, also for `K` (U+212A) and `ſ` (U+017F), which some programs take for `k` and `s`. */
function fold(text: string): string {
  return text.toUpperCase().toLowerCase();
}

function routeOf(node: RouteNode, method: string): Route | undefined {
  let route = node.route;
  while (route !== undefined && route.method !== method) route = route.next;
  return route;
}

function parameterName(segment: string): string | undefined {
  return segment.startsWith('{') && segment.endsWith('}') ? segment.slice(1, -1) : undefined;
}

class GrowingNode implements RouteNode {
  literals: Map<string, GrowingNode> | undefined = undefined;
  folded: Map<string, GrowingNode[]> | undefined = undefined;
  parameter: GrowingNode | undefined = undefined;
  route: Route | undefined = undefined;

  literal(text: string): GrowingNode {
    this.literals ??= new Map();
    this.folded ??= new Map();
    const known = this.literals.get(text);
    if (known !== undefined) return known;
    const node = new GrowingNode();
    this.literals.set(text, node);
    this.folded.set(fold(text), [...(this.folded.get(fold(text)) ?? []), node]);
    return node;
  }

  anything(): GrowingNode {
    this.parameter ??= new GrowingNode();
    return this.parameter;
  }
}
