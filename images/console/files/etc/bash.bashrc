# Also for commands over SSH, for which bash reads no profile.
case :$PATH: in
    *:/opt/bin:*) ;;
    *) PATH=/opt/bin:$PATH ;;
esac
