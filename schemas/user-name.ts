/** Names of users double as file names, hence no `.` and `..`. */
export const userNamePattern = /^(?!-)(?!\.{1,2}$)[A-Za-z0-9_.-]{1,32}$/;
