/** Runs tasks one after the other in the order of the calls; a task that fails does not stop the next. */
export type SerialLock = <T>(task: () => Promise<T>) => Promise<T>;

export function createSerialLock(): SerialLock {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const result = last.then(task);
    // The caller gets the failure; the queue only needs to know that the task is over.
    last = result.catch(() => {});
    return result;
  };
}
