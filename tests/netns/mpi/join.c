/* join: opens a port, prints "port NAME", and accepts a connection.
   join NAME: connects to that port, and prints "joined".
   Both print MPI's text for an error: "join: ...".
 */
#include <mpi.h>
#include <stdio.h>

static int say(int error) {
    if (error == MPI_SUCCESS)
        return 0;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(error, text, &length);
    printf("join: %s\n", text);
    fflush(stdout);
    return 1;
}

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    MPI_Comm other = MPI_COMM_NULL;
    int failed = 0;
    if (argc > 1) {
        failed = say(MPI_Comm_connect(argv[1], MPI_INFO_NULL, 0, MPI_COMM_SELF, &other));
    } else {
        char name[MPI_MAX_PORT_NAME] = "";
        failed = say(MPI_Open_port(MPI_INFO_NULL, name));
        printf("port %s\n", name);
        fflush(stdout);
        failed = failed || say(MPI_Comm_accept(name, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other));
    }
    if (!failed)
        printf("joined\n");
    fflush(stdout);
    if (failed)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
    return 0;
}
