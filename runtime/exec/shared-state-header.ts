/**
 * Marks a request to a host that is about its shared object. It counts only without the header of a call, which
 * the runtime sets on everything that it passes on.
 */
export const sharedStateHeader = 'x-branchtab-shared-state';
