import type {ContainerFacts} from './branch-view.ts';
import type {Container} from './containers/provider.ts';
import {type Crashes, noCrashes} from './outcome.ts';

export interface Standalone extends ContainerFacts {
  readonly crashes: Crashes;
}

/** What the controller knows of each standalone container; a view of the provider, nothing that must survive. */
export interface StandaloneTable {
  add(container: Container, phase: Standalone['phase']): void;
  get(id: string): Standalone | null;
  find(idOrName: string): Standalone | null;
  /** Oldest first. */
  all(): Standalone[];
  /** Does nothing where the container is gone. */
  change(id: string, changed: Partial<Standalone>): void;
  delete(id: string): void;
}

export function createStandaloneTable(): StandaloneTable {
  const rows = new Map<string, Standalone>();
  const get = (id: string) => rows.get(id) ?? null;
  return {
    add: (container, phase) =>
      void rows.set(container.id, {container, phase, schedule: null, crashes: noCrashes}),
    get,
    find: (idOrName) =>
      get(idOrName) ?? [...rows.values()].find(({container}) => container.name === idOrName) ?? null,
    all: () => [...rows.values()].sort(byAge),
    change(id, changed) {
      const known = rows.get(id);
      if (known !== undefined) rows.set(id, {...known, ...changed});
    },
    delete: (id) => void rows.delete(id),
  };
}

function byAge({container: a}: Standalone, {container: b}: Standalone): number {
  return a.createdAt === b.createdAt ? 0 : a.createdAt < b.createdAt ? -1 : 1;
}
