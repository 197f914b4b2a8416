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
 * `%40me` is no `@me` to us, but it may be to the API: a target that would lead elsewhere if its remaining escapes were
 * decoded is refused, or it would be let in by the wrong entry.
 */
export function findRoute(
  root: RouteNode,
  method: string,
  { segments, escaped }: { readonly segments: readonly string[]; readonly escaped: boolean },
): Route | undefined {
  const route = descend(root, method, segments, 0);
  if (route === undefined || !escaped) return route;
  return descend(root, method, segments.map(decodeSegment), 0) === route ? route : undefined;
}

function descend(node: RouteNode, method: string, segments: readonly string[], depth: number): Route | undefined {
  const segment = segments[depth];
  if (segment === undefined) return routeOf(node, method) ?? (method === 'HEAD' ? routeOf(node, 'GET') : undefined);
  const literal = node.literals?.get(segment);
  const found = literal === undefined ? undefined : descend(literal, method, segments, depth + 1);
  if (found !== undefined || node.parameter === undefined) return found;
  return descend(node.parameter, method, segments, depth + 1);
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
  parameter: GrowingNode | undefined = undefined;
  route: Route | undefined = undefined;

  literal(text: string): GrowingNode {
    this.literals ??= new Map();
    const node = this.literals.get(text) ?? new GrowingNode();
    this.literals.set(text, node);
    return node;
  }

  anything(): GrowingNode {
    this.parameter ??= new GrowingNode();
    return this.parameter;
  }
}
