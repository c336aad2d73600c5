import type {Node} from 'oxc-parser';

/** Calls back with every node below and including `node`, parents first; below a node for which it answers false, with none. */
export function visitNodes(node: Node, callback: (node: Node) => boolean | undefined): void {
  if (callback(node) === false) return;
  for (const [name, value] of Object.entries(node) as [string, unknown][]) {
    if (name === 'parent') continue;
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) visitNodes(child, callback);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}
