import type {Node} from 'oxc-parser';

/**
 * Calls back with every node below and including `node`, in the order of the text, parents first; below a node for
 * which it answers false, with none. The stack is ours: how deeply scripts nest is their authors' choice.
 */
export function visitNodes(node: Node, callback: (node: Node) => boolean | undefined): void {
  const waiting: Node[] = [node];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (callback(next) !== false) waiting.push(...childrenOf(next).reverse());
  }
}

function childrenOf(node: Node): Node[] {
  return Object.entries(node)
    .filter(([name]) => name !== 'parent')
    .flatMap(([, value]: [string, unknown]) => value)
    .filter(isNode);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}
