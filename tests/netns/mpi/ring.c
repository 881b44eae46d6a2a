/* ring [FILE]: a number goes round all ranks a hundred times, and all ranks exchange with all.
   Each rank prints its host, and the first prints "done". With FILE, ring runs until FILE is gone.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void finish(void) {
#ifdef MPICH
    /* MPI_Finalize of Debian's MPICH (4.0.2 on UCX 1.13) hangs every other time over TCP, even
       without a firewall: a rank that has finished stops reading data that another rank still sends
       (see github.com/openucx/ucx/issues/2254). So all ranks wait for a while, and end without it.
       They tell the process manager (PMI 1, on the descriptor that it gave). Otherwise it may take
       the first rank that ends for a failed one, and kill the others. */
    for (int i = 0; i < 100; ++i) {
        int flag = 0;
        MPI_Iprobe(MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
        usleep(2000);
    }
    const char* manager = getenv("PMI_FD");
    const char goodbye[] = "cmd=finalize\n";
    char answer[64];
    _exit(manager && write(atoi(manager), goodbye, sizeof goodbye - 1) == sizeof goodbye - 1 &&
                  read(atoi(manager), answer, sizeof answer) > 0
              ? 0
              : 1);
#else
    MPI_Finalize();
#endif
}

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    int size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    printf("rank %d on %s\n", rank, host);
    fflush(stdout);

    int number = 0;
    for (int round = 0; round < 100; ++round) {
        if (rank == 0) {
            MPI_Send(&number, 1, MPI_INT, 1 % size, 0, MPI_COMM_WORLD);
            MPI_Recv(&number, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(&number, 1, MPI_INT, rank - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            ++number;
            MPI_Send(&number, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD);
        }
    }
    int* all = calloc((size_t)size, sizeof *all);
    MPI_Allgather(&rank, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD);
    int sum = 0;
    for (int i = 0; i < size; ++i)
        sum += all[i];
    free(all);
    if (rank == 0 && number == 100 * (size - 1) && sum == size * (size - 1) / 2) {
        printf("done\n");
        fflush(stdout);
    }
    while (argc > 1 && access(argv[1], F_OK) == 0)
        usleep(20000);
    MPI_Barrier(MPI_COMM_WORLD);
    finish();
    return 0;
}
