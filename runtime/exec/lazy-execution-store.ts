import {type ExecutionStore, openExecutionStore} from './execution-store.ts';

const retention = {ageDays: 30, maxCount: 10_000, maxBytes: 64 * 1024 * 1024};

export interface LazyExecutionStore {
  get(): ExecutionStore;
  close(): void;
}

/** Opened by the first call or look: most containers wait for hours, and a database takes room. */
export function createLazyExecutionStore(path: string): LazyExecutionStore {
  let store: ExecutionStore | null = null;
  return {
    get() {
      if (store === null) {
        store = openExecutionStore(path, retention);
        store.interruptUnfinished();
      }
      return store;
    },
    close() {
      store?.close();
      store = null;
    },
  };
}
