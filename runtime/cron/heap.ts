/** A binary heap: the item with the smallest `atMs` is first. */
export interface Heap<T extends {readonly atMs: number}> {
  readonly size: number;
  peek(): T | undefined;
  push(item: T): void;
  pop(): T | undefined;
}

export function createHeap<T extends {readonly atMs: number}>(): Heap<T> {
  const items: T[] = [];
  const before = (a: number, b: number) => (items[a]?.atMs ?? Infinity) < (items[b]?.atMs ?? Infinity);
  const swap = (a: number, b: number) => {
    const [first, second] = [items[a], items[b]];
    if (first === undefined || second === undefined) return;
    items[a] = second;
    items[b] = first;
  };
  return {
    get size() {
      return items.length;
    },
    peek: () => items[0],
    push(item) {
      items.push(item);
      for (let child = items.length - 1; child > 0; ) {
        const parent = (child - 1) >> 1;
        if (!before(child, parent)) break;
        swap(child, parent);
        child = parent;
      }
    },
    pop() {
      swap(0, items.length - 1);
      const first = items.pop();
      for (let parent = 0; ; ) {
        const left = 2 * parent + 1;
        const smaller = before(left + 1, left) ? left + 1 : left;
        if (!before(smaller, parent)) break;
        swap(parent, smaller);
        parent = smaller;
      }
      return first;
    },
  };
}
